"""JupyterLab in its container, behind a token; Compose publishes its port on this machine only."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.ip = "0.0.0.0"  # noqa: S104  # inside the container; the port is published on 127.0.0.1
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/workspace"
c.LabApp.default_url = "/lab/tree/notebooks/explore.ipynb"
# Allowed host names; others are refused, which prevents DNS rebinding by foreign pages.
c.ServerApp.allow_remote_access = False
# A reverse proxy's names are in JUPYTER_HOSTS, separated by commas.
proxied = [name.strip() for name in os.environ.get("JUPYTER_HOSTS", "").split(",") if name.strip()]
c.ServerApp.local_hostnames = ["localhost", "jupyter", *proxied]
# In a rootless engine, root inside the container is the user outside.
c.ServerApp.allow_root = True
# Packages come from the lock file only.
c.LabApp.extension_manager = "readonly"
