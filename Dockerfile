# The server and the database service with the modules you choose, as a user without rights. docs/deploy.md
#
#   docker build --build-arg MODULES="ledger payments" -t fintech .
#
# What is installed is pinned and hash-checked by constraints.txt; tests/deploy runs the same commands without containers.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG MODULES="ledger merchants payments settlements"
ARG EXTRAS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
WORKDIR /src
COPY constraints.txt ./
RUN sed -n '/^uv==/,/[^\\]$/p' constraints.txt > uv.txt && \
    pip install --no-cache-dir --require-hashes --requirement uv.txt
COPY packages packages
COPY apps apps
COPY deploy/install deploy/install
RUN deploy/install /opt/fintech "${MODULES}" "${EXTRAS}"

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="fintech" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/fintech /opt/fintech
COPY deploy/healthy.py /opt/fintech/bin/healthy
ENV PATH=/opt/fintech/bin:${PATH} PYTHONUNBUFFERED=1 APP_HOST=0.0.0.0 APP_PORT=8000
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["healthy", "/health/live"]
ENTRYPOINT ["fintech"]
CMD ["serve"]
