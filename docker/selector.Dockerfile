# The selector's image. Stages that several services' files share have the same text in each,
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

# What palmfolio needs, without palmfolio itself, which changes more often.
FROM installer AS packages
RUN python3 -m venv --without-pip /opt/packages \
 && cd /opt/packages/lib/python3*/site-packages && echo /opt/palmfolio > palmfolio.pth
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
RUN /opt/pip/bin/pip --python /opt/packages/bin/python3 install '.[selector,postgres]' \
 && /opt/pip/bin/pip --python /opt/packages/bin/python3 uninstall --yes palmfolio \
 && find /opt/packages -type d -name tests -prune -exec rm -r {} +
# What only compilers, type checkers and the packages' own tests read.
RUN cd /opt/packages/lib/python3*/site-packages \
 && find . -type f -regex '.*\.\(pyi\|pyx\|pxd\|pxi\|h\|hpp\|c\|a\)' -delete \
 && rm -r sqlalchemy/testing pygments/lexers/__pycache__

FROM installer AS code
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY palm palm
COPY clients/python clients/python
COPY services services
RUN /opt/pip/bin/pip install --no-deps --target /opt/palmfolio .

FROM base
COPY --from=packages /opt/packages /opt/packages
COPY --from=code /opt/palmfolio /opt/palmfolio
COPY docker/config/selector.yaml /etc/palmfolio/
USER palmfolio
VOLUME /state
EXPOSE 50053
HEALTHCHECK --interval=10s --timeout=10s --start-period=10m --retries=6 \
  CMD ["python3", "-m", "palmfolio_runtime.serving.healthcheck", "127.0.0.1:50053", "--service", "palmfolio.v1.Selector"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "-m", "palmfolio_selector"]
CMD ["--config", "/etc/palmfolio/selector.yaml"]
