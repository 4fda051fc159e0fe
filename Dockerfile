# One locked environment in three images: `mlflow` (server), `pipeline` (stages, DVC, churn) and `jupyter`. A smaller one
# in `api`, the scoring service.
# Plain instructions only, so that any builder works. Layers that change often come last.

FROM python:3.11-slim-bookworm AS environment
# Use the system's certificates, so that a build behind a company proxy needs no change here.
ENV UV_SYSTEM_CERTS=true SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY requirements-setup.lock /setup/
RUN python -m venv /setup/venv \
 && /setup/venv/bin/pip install --quiet --no-cache-dir --require-hashes -r /setup/requirements-setup.lock \
 && python -m venv --without-pip /opt/venv
COPY requirements.lock /setup/
RUN /setup/venv/bin/uv pip install --python /opt/venv/bin/python --no-cache --require-hashes --compile-bytecode \
      --build-constraints /setup/requirements.lock -r /setup/requirements.lock \
 # The tests of the packages are a sixth of the environment.
 && find /opt/venv -type d -name tests -prune -exec rm -r {} +
# Install the `churn` command as a reference to the sources in /workspace, which are the image's own or mounted.
WORKDIR /workspace
COPY pyproject.toml LICENSE ./
RUN mkdir -p src/churn && touch README.md src/churn/__init__.py \
 && /setup/venv/bin/uv pip install --python /opt/venv/bin/python --no-cache --no-deps --no-build-isolation --editable .


FROM python:3.11-slim-bookworm AS base
LABEL org.opencontainers.image.title="churn-pipeline" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /opt/venv /opt/venv
# Any user id works, even one without a name: DVC and MLflow then need USER. HOME is a tmpfs.
ENV PATH=/opt/churn:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    VIRTUAL_ENV=/opt/venv \
    HOME=/tmp \
    USER=churn \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    TINI_KILL_PROCESS_GROUP=1
COPY deploy/entrypoint deploy/notices deploy/same-locks /opt/churn/
# Licences of what the image has from others; a stage that adds packages writes the list again.
RUN notices /licenses/packages.txt
# Which locks the image was built from; a project with other locks is refused.
COPY requirements.lock /opt/churn/locks/
ENTRYPOINT ["entrypoint"]
USER 1000:1000


FROM base AS mlflow
LABEL org.opencontainers.image.description="MLflow server with a store of its own in /mlflow"
ENV MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
WORKDIR /mlflow
EXPOSE 5000
HEALTHCHECK --interval=5s --timeout=5s --start-period=90s --retries=6 \
  CMD ["answers", "http://127.0.0.1:5000/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"]
COPY deploy/answers deploy/mlflow-server /opt/churn/
CMD ["mlflow-server"]


FROM base AS workbench
USER root
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends git >/dev/null \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
 # The project in /workspace may belong to any user.
 && git config --system --add safe.directory '*' \
 # Terminals of JupyterLab are login shells, which take PATH from /etc/profile.
 && echo "export PATH=$PATH" > /etc/profile.d/churn.sh
# Optuna, for `churn tune`.
COPY requirements-tune.lock /opt/churn/locks/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes \
      -r /opt/churn/locks/requirements-tune.lock \
 && notices /licenses/packages.txt
COPY deploy/site-packages /opt/venv/lib/python3.11/site-packages/
# DVC writes process numbers and absolute paths to .dvc/tmp, which are valid only inside the container. So it uses other
# file names here, and DVC on the host and in a container never read each other's files.
RUN cd /opt/venv/lib/python3.11/site-packages \
 && sed -i 's/^RWLOCK_FILE = "rwlock"$/RWLOCK_FILE = "rwlock.container"/' dvc/rwlock.py \
 && sed -i 's/^EXEC_TMP_DIR = "exps"$/EXEC_TMP_DIR = "exps.container"/' dvc/repo/experiments/utils.py \
 && grep -q '^RWLOCK_FILE = "rwlock.container"$' dvc/rwlock.py \
 && grep -q '^EXEC_TMP_DIR = "exps.container"$' dvc/repo/experiments/utils.py \
 && python -m compileall -q "$PWD/dvc/rwlock.py" "$PWD/dvc/repo/experiments/utils.py" "$PWD/private_dvc_cache.py"
COPY deploy/dvc /opt/churn/
WORKDIR /workspace
USER 1000:1000


FROM workbench AS jupyter
LABEL org.opencontainers.image.description="JupyterLab on the project in /workspace"
USER root
COPY requirements-notebook.lock /opt/churn/locks/
RUN pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes \
      -r /opt/churn/locks/requirements-notebook.lock \
 && notices /licenses/packages.txt
COPY deploy/jupyter_server_config.py deploy/jupyterlab_overrides.json /setup/
RUN mkdir -p /etc/jupyter /opt/venv/share/jupyter/lab/settings \
 && mv /setup/jupyter_server_config.py /etc/jupyter/ \
 && mv /setup/jupyterlab_overrides.json /opt/venv/share/jupyter/lab/settings/overrides.json
COPY deploy/answers /opt/churn/
COPY src /workspace/src
USER 1000:1000
EXPOSE 8888
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["answers", "http://127.0.0.1:8888/api/status"]
CMD ["jupyter", "lab"]


FROM workbench AS pipeline
LABEL org.opencontainers.image.description="The stages, DVC and the churn command on the project in /workspace"
COPY src /workspace/src
# DVC cleans up on SIGINT, not on SIGTERM.
STOPSIGNAL SIGINT
CMD ["dvc", "repro"]


# The service needs neither DVC nor git, notebooks or charts: an environment of its own, from a lock of its own.
FROM python:3.11-slim-bookworm AS api-environment
ENV UV_SYSTEM_CERTS=true SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY requirements-setup.lock /setup/
RUN python -m venv /setup/venv \
 && /setup/venv/bin/pip install --quiet --no-cache-dir --require-hashes -r /setup/requirements-setup.lock \
 && python -m venv --without-pip /opt/venv
COPY requirements.lock requirements-serve.lock /setup/
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends binutils >/dev/null
RUN /setup/venv/bin/uv pip install --python /opt/venv/bin/python --no-cache --require-hashes \
      --build-constraints /setup/requirements.lock -r /setup/requirements-serve.lock \
 # Tests, files for compilers, and parts of Arrow that nothing here imports.
 && find /opt/venv -type d -name tests -prune -exec rm -r {} + \
 && find /opt/venv -name '*.py[xi]' -o -name '*.px[di]' -o -name '*.[ah]' -o -name '*.[ch]pp' | xargs rm \
 # Symbols for debuggers; those of the bundled BLAS are laid out so that they have to stay.
 && find /opt/venv -name '*.so*' -type f -not -path '*.libs/*' | xargs strip --strip-unneeded \
 && cd /opt/venv/lib/python3.11/site-packages/pyarrow \
 && rm -rf include src *flight* *_cpp_tests*
WORKDIR /setup/project
COPY pyproject.toml LICENSE ./
COPY src ./src
RUN touch README.md \
 && /setup/venv/bin/pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation --wheel-dir /setup/wheels . \
 && /setup/venv/bin/uv pip install --python /opt/venv/bin/python --no-cache --no-deps /setup/wheels/*.whl \
 # Bytecode of what the service imports; that of everything would be a fifth of the image.
 && cd / && /opt/venv/bin/python -c "import churn.cli.main, churn.service.server"


FROM python:3.11-slim-bookworm AS api
LABEL org.opencontainers.image.title="churn-pipeline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="The scoring service for the project in /workspace"
COPY --from=api-environment /opt/venv /opt/venv
ENV PATH=/opt/churn:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    USER=churn \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true
COPY deploy/api deploy/answers deploy/notices deploy/same-locks /opt/churn/
RUN notices /licenses/packages.txt
COPY requirements-serve.lock /opt/churn/locks/
WORKDIR /workspace
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
  CMD ["answers", "http://127.0.0.1:8000/health/live"]
CMD ["api"]


FROM python:3.11-slim-bookworm AS collector
LABEL org.opencontainers.image.title="churn-pipeline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="rsyslog, which takes lines of log over TLS"
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
      rsyslog rsyslog-gnutls rsyslog-elasticsearch >/dev/null \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
COPY deploy/monitoring/rsyslog /etc/churn/
USER 1000:1000
EXPOSE 6514
CMD ["rsyslogd", "-n", "-f", "/etc/churn/collector.conf", "-i", "/tmp/rsyslogd.pid"]
