# The trellis command with every service and the sandbox, for migrations, administration and trying it out.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY tools/dev/uv-requirements.txt deploy/third_party.py requirements.lock ./
RUN python3 -m venv /uv && /uv/bin/pip install --no-cache-dir --require-hashes -r uv-requirements.txt \
    && /uv/bin/uv venv --no-python-downloads /opt/trellis
COPY libs libs
COPY services services
RUN python3 third_party.py libs/* services/* > wanted.txt \
    && /uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/trellis -c requirements.lock -r wanted.txt \
    && /uv/bin/uv pip install --no-cache --compile-bytecode --no-deps --no-sources --python /opt/trellis ./libs/* ./services/*

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="trellis" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/trellis /opt/trellis
ENV PATH=/opt/trellis/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["trellis"]
CMD ["--help"]
