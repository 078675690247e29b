# syntax=docker/dockerfile:1
#
#   docker build -t tetcore-analytics .
#   docker run -p 8080:8080 -e DATABASE_URL=postgres://user:password@host/database \
#       -v tetcore-analytics:/var/lib/tetcore-analytics --stop-timeout 40 tetcore-analytics
#
# The image has no PostgreSQL: DATABASE_URL must be given. Let --stop-timeout be longer than
# SHUTDOWN_TIMEOUT_S (30), so that everything that was read is stored before the end.

FROM rust:1.95-slim-bookworm AS builder

# Of any version: those of a Debian release get fixes only.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build

# The dependencies, in a layer that lasts until Cargo.toml or Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && cp src/main.rs build.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin tetcore-analytics

COPY build.rs ./
COPY migrations migrations
COPY src src
# Cargo compares times, and the files may be older than the build above.
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --release --locked --bin tetcore-analytics


FROM debian:bookworm-slim

# The certificates are for a DATABASE_URL that ends in
# ?sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libpq5 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 tetcore \
    && useradd --system --uid 10001 --gid 10001 --no-create-home \
        --home-dir /var/lib/tetcore-analytics --shell /usr/sbin/nologin tetcore \
    && install --directory --owner 10001 --group 10001 /var/lib/tetcore-analytics

COPY LICENSE /usr/share/doc/tetcore-analytics/LICENSE
COPY static /usr/share/tetcore-analytics/static
COPY --from=builder /build/target/release/tetcore-analytics /usr/local/bin/tetcore-analytics

ARG VERSION=1.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tetcore-analytics" \
      org.opencontainers.image.description="Keeps and explains the telemetry of Tetcore, Substrate and Polkadot-SDK nodes" \
      org.opencontainers.image.source="https://github.com/tetcoin/tetcore-analytics" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

ENV ASSETS_PATH=/usr/share/tetcore-analytics/static \
    DATA_DIR=/var/lib/tetcore-analytics \
    PORT=8080

# By number, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /var/lib/tetcore-analytics
VOLUME /var/lib/tetcore-analytics
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/tetcore-analytics", "--health-check"]
ENTRYPOINT ["/usr/local/bin/tetcore-analytics"]
