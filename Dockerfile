# Herold's image. Another Debian: --build-arg BASE=debian:trixie-slim
ARG BASE=debian:bookworm-slim

FROM $BASE AS build
WORKDIR /src
COPY deploy/install-packages deploy/
RUN deploy/install-packages build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make -s -j"$(nproc)" && strip build/herold build/herold-broker build/herold-ctl
# The packages of the libraries that the programs load, by the names that this Debian has for them.
RUN ldd build/herold build/herold-broker build/herold-ctl | awk '/=> \// { sub(".*/", "", $1); print $1 }' | sort -u | \
	while read -r library; do dpkg-query -S "*/$library" | cut -d : -f 1; done | sort -u >build/run-time-packages

FROM $BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Herold" \
	org.opencontainers.image.description="WebSocket server for chat, live dashboards and games" \
	org.opencontainers.image.licenses="MIT" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.revision="$REVISION"
COPY --from=build /src/build/run-time-packages /tmp/
RUN apt-get update && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends </tmp/run-time-packages && \
	rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /tmp/run-time-packages
COPY --from=build /src/build/herold /src/build/herold-broker /src/build/herold-ctl /usr/local/bin/
# Nobody else's number, and known without /etc/passwd.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 CMD ["herold", "--healthcheck"]
ENTRYPOINT ["herold"]
