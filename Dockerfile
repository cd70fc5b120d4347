# The relay in an image with nothing else: one static program, no shell, no user that
# is root. Built from this folder, of which .dockerignore passes on what the program is
# made of: the code to decrypt is not even there.
#
#   docker build --tag schakel-relay .

FROM golang:1.26.5-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY crypto ./crypto
COPY relay ./relay
COPY cmd/schakel-relay ./cmd/schakel-relay
RUN CGO_ENABLED=0 go build -trimpath -o /out/schakel-relay ./cmd/schakel-relay
# A new volume takes the owner and the rights of the folder that it is mounted at. The
# health check copies the register to /tmp.
RUN mkdir -m 0700 /out/data /out/blobs && mkdir -m 1777 /out/tmp

FROM scratch
COPY --from=build /out/schakel-relay /schakel-relay
COPY --from=build --chown=65532:65532 /out/data /var/lib/schakel-relay
COPY --from=build --chown=65532:65532 /out/blobs /var/lib/schakel-blobs
COPY --from=build --chown=65532:65532 /out/tmp /tmp
USER 65532:65532
EXPOSE 8443
# SIGTERM drains. The grace of whoever stops the container must be above --drain.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["/schakel-relay", "check"]
ENTRYPOINT ["/schakel-relay"]
CMD ["serve"]
