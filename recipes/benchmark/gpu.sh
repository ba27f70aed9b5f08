#!/usr/bin/env bash
# A session on a machine with a GPU and no network. Run from the root of the repository:
#
#   bash recipes/benchmark/gpu.sh fetch               where there is a network: wheels into .whl
#   bash recipes/benchmark/gpu.sh run --minutes 9     where there is a GPU: install them and measure
#
# The folder .whl, which git ignores, has to get there too. It holds what a machine with Python 3.12,
# PyTorch, Lightning, matplotlib and pytest lacks. The options of `run` are those of
# `python -m recipes.benchmark gpu`; figures and the log go to the folder $OUT, by default runs/gpu.
set -euo pipefail
cd "$(dirname "$0")/../.."

wheels=(
    av==18.1.0 beartype==0.23.1 dacite==1.9.2 docstring-parser==0.18.0 einops==0.8.2
    filelock==4.3.1 typeguard==4.6.1 typing-extensions==4.16.0 tyro==1.0.17
)

fetch() {
    local platforms=() tag
    for tag in 2_28 2_27 2_17; do
        platforms+=(--platform "manylinux_${tag}_x86_64")
    done
    rm -rf .whl
    python3 -m pip download -q --no-deps --only-binary=:all: --implementation cp \
        --python-version 3.12 "${platforms[@]}" -d .whl "${wheels[@]}"
    du -sh .whl
}

run() {
    local out=${OUT:-runs/gpu} site
    site=$(mktemp -d)
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
        --target "$site" .whl/*.whl
    mkdir -p "$out"
    cp docs/results/performance.json "$out/"
    export PYTHONPATH=$site:$PWD PYTHONUNBUFFERED=1 TQDM_DISABLE=1
    python3 -m recipes.benchmark gpu --out "$out/performance.json" "$@" 2>&1 | tee "$out/log.txt"
}

case ${1:-} in
    fetch | run) "$@" ;;
    *) sed -n '2,/^set/{/^set/d;p}' "$0" >&2; exit 2 ;;
esac
