"""JupyterLab in its container: reached through a port that Compose publishes on this machine only, with a token."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.ip = "0.0.0.0"  # noqa: S104  # inside the container; the port is published on 127.0.0.1
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/workspace"
c.LabApp.default_url = "/lab/tree/notebooks/explore.ipynb"
# Names that it may be called by; others are refused, so that no foreign page reaches it (DNS rebinding).
c.ServerApp.allow_remote_access = False
c.ServerApp.local_hostnames = ["localhost", "jupyter"]
# With an engine that runs without root, root in here is the user outside.
c.ServerApp.allow_root = True
# Packages come from the lock.
c.LabApp.extension_manager = "readonly"
