# The exporter's image, as `make image` writes it without an engine: the same program, built with the same flags, and the same files.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --tag inotrail .
#
# It is built on the machine's own architecture for any other: --platform linux/amd64,linux/arm64.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.98.0-bookworm AS build
WORKDIR /source
COPY rust-toolchain.toml ./
COPY e2e/setup.sh e2e/
RUN e2e/setup.sh image
COPY . .
ARG TARGETARCH
ARG REVISION=unknown
RUN cargo run --locked --package inotrail-image -- root --platform "$TARGETARCH" --revision "$REVISION" --to /image

# Keep in step with image/src/release.rs: a test compares them.
FROM scratch
COPY --from=build /image/ /
ARG REVISION=unknown
LABEL org.opencontainers.image.title="inotrail" \
      org.opencontainers.image.description="An audit trail of which pod touched which file: eBPF in, OpenTelemetry logs out" \
      org.opencontainers.image.url="https://inotrail.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION"
USER 0:0
ENV PATH=/
WORKDIR /
ENTRYPOINT ["/inotrail"]
