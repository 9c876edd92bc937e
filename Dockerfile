# One image with all programs; compose.yaml says which of them a container runs.

# What dependencies are asked for, without any source: as long as no manifest changes, the layer with
# the compiled dependencies is taken from the cache.
FROM rust:1-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete \
    && find . -name Cargo.toml -not -path ./Cargo.toml -not -path ./tests/Cargo.toml | while read -r manifest; do \
        package=$(dirname "$manifest"); mkdir -p "$package/src"; \
        case "$package" in */services/*) echo 'fn main() {}' > "$package/src/main.rs" ;; esac; \
        : > "$package/src/lib.rs"; \
    done

FROM rust:1-bookworm AS build
WORKDIR /src
COPY --from=manifests /src .
RUN sed -i '/"tests"/s/, "tests"//' Cargo.toml && sed -i '/^\[\[bench\]\]/,$d' */*/Cargo.toml \
    && cargo build --release --workspace
COPY . .
# the sources are newer than the empty ones that the dependencies were compiled with
RUN find services shared -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p trainer -p psi-field -p remembrancer -p evaluator -p mesh

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/ai-mesh --create-home ai-mesh
COPY --from=build /src/target/release/trainer /src/target/release/psi-field /src/target/release/remembrancer \
    /src/target/release/evaluator /src/target/release/mesh /usr/local/bin/
USER ai-mesh
VOLUME /var/lib/ai-mesh
ENV AI_MESH_LOG_FORMAT=json
CMD ["mesh", "--help"]
