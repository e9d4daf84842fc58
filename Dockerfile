# The image of lanyard: two static binaries, the second of which is the
# controller that writes Secrets, and the root certificates. There is no shell
# and nothing else to run.
#
#   docker build --build-arg VERSION=v1.2.3 --build-arg COMMIT=$(git rev-parse HEAD) -t lanyard .

# Where other registries must be used, or other bases are wanted.
ARG GO_IMAGE=docker.io/library/golang:1.27.3-bookworm
ARG BASE_IMAGE=scratch

FROM --platform=${BUILDPLATFORM:-} ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY main.go ./
COPY cmd cmd
COPY internal internal
COPY provider provider
COPY server server
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG COMMIT
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/lanyardhq/lanyard/cmd.version=${VERSION} -X github.com/lanyardhq/lanyard/cmd.commit=${COMMIT}" \
    -o /out/ . ./cmd/lanyard-sync ./cmd/lanyard-exec

FROM ${BASE_IMAGE}
ARG VERSION
ARG COMMIT
LABEL org.opencontainers.image.title="lanyard" \
    org.opencontainers.image.description="Secrets for Kubernetes workloads through the Secrets Store CSI driver" \
    org.opencontainers.image.source="https://github.com/lanyardhq/lanyard" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${COMMIT}"
WORKDIR /
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/lanyard /lanyard
COPY --from=build /out/lanyard-sync /lanyard-sync
COPY --from=build /out/lanyard-exec /lanyard-exec
# The directory that the driver looks for sockets in is root's on most nodes:
# there the DaemonSet says runAsUser: 0 and drops every capability. Everywhere
# else nobody needs to be root.
USER 65532:65532
ENTRYPOINT ["/lanyard"]
CMD ["serve"]
