# One image with the four services and the command line. Each container runs one of them; compose.yaml says which.

# The manifests alone, with empty sources: as long as no manifest changes, the layers made from them do not either.
FROM rust:1-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' \
        ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path '*/benches/*.rs' -delete \
    && find . -type d -empty -delete \
    && find . -name '*.rs' -exec truncate --size=0 {} + \
    && for main in services/*/src/main.rs; do echo 'fn main() {}' > "$main"; done

# The dependencies: built again only when a manifest or Cargo.lock changes.
FROM rust:1-bookworm AS build
WORKDIR /src
# The names of functions stay, for backtraces.
ENV CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=debuginfo
COPY --from=manifests /src .
RUN cargo build --release --locked --workspace --bins

# The project. Sources are touched, for they are older than what was just built from the empty ones.
COPY . .
# There is no repository here that could be asked for it.
ARG MESH_COMMIT=
RUN find services shared -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --workspace --bins \
    && mkdir -p /out/bin /out/data \
    && cp target/release/trainer target/release/psi-field target/release/remembrancer target/release/evaluator \
          target/release/mesh /out/bin/

FROM debian:bookworm-slim
# For services elsewhere, behind https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE NOTICE /usr/share/doc/ai-mesh/
COPY --from=build /out/bin/ /usr/local/bin/
# Nobody else's number. A named volume takes the folder's owner over.
COPY --from=build --chown=10001:10001 /out/data /var/lib/ai-mesh
USER 10001:10001
WORKDIR /var/lib/ai-mesh
ENV AI_MESH_REMEMBRANCER_DATA_DIR=/var/lib/ai-mesh
CMD ["mesh", "--help"]
