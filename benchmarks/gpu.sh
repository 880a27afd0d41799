#!/usr/bin/env bash
# Measure all rows of RESULTS.md that need a GPU: bash benchmarks/gpu.sh FOLDER
#
# FOLDER gets the printed text of each row (.txt), a .json of most, and summary.md with all of them.
# The output of a row that fails is kept (.out, .err), and the row is listed at the end. Call it again
# with the same FOLDER to measure the rows that are missing; compiled networks are cached, so this is
# faster.
#
# PYTHON=/path/to/python chooses an interpreter; SECONDS_MAX (570) is the time limit for all rows;
# PARALLEL is the number of untimed rows that run at once (default: what memory and cores allow).
set -u
if [ $# -ne 1 ]; then
    echo "usage: bash benchmarks/gpu.sh FOLDER" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -x "$root/.venv/bin/python" ]; then default=.venv/bin/python; else default=python3; fi
python=${PYTHON:-$default}
# An untimed row gets 12 GiB of GPU memory and two cores.
room="import os, torch
memory = torch.cuda.get_device_properties(0).total_memory
print(max(1, min(memory // (12 << 30), os.cpu_count() // 2)))"
if ! fitting=$(cd "$root" && "$python" -c "$room" 2> /dev/null); then
    echo "error: $python finds no CUDA device (or no torch): these rows need one" >&2
    exit 1
fi
parallel=${PARALLEL:-$fitting}
if ! [[ $parallel =~ ^[1-9][0-9]*$ ]]; then
    echo "error: PARALLEL=$parallel must be a whole number, at least 1" >&2
    exit 2
fi
mkdir -p "$1" || exit 1
out=$(cd "$1" && pwd)
cd "$root" || exit 1
commit=$(git describe --always --dirty --exclude '*' 2> /dev/null || echo unknown)
if [ -e "$out/commit" ] && [ "$(cat "$out/commit")" != "$commit" ]; then
    echo "error: $out has rows of commit $(cat "$out/commit"), not $commit: name another folder" >&2
    exit 1
fi
echo "$commit" > "$out/commit"
limit=${SECONDS_MAX:-570}
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$out/inductor}

# row NAME SECONDS COMMAND...: run a command for at most SECONDS, unless its result exists.
row() {
    local name=$1 most=$2 left=$((limit - SECONDS)) base="$out/$1" status
    shift 2
    if [ -e "$base.txt" ]; then
        echo "== $name: done before"
        return
    fi
    if [ $left -le 10 ]; then
        [ -s "$base.err" ] || echo "no time was left" > "$base.err"
        return
    fi
    echo "== $name (after $SECONDS s): $*"
    [ $most -le $left ] || most=$left
    timeout -k 5 $most "$@" > "$base.out" 2> "$base.err" &  # a signal interrupts wait, not timeout
    wait $!
    status=$?
    if [ $status -eq 0 ]; then
        mv "$base.out" "$base.txt"
        rm "$base.err"
    elif [ $status -eq 124 ] || [ $status -eq 137 ]; then
        echo "stopped after $most s" >> "$base.err"
    fi
}

# untimed NAME SECONDS COMMAND...: run a row without times in the background, next to others.
untimed() {
    while [ "$(jobs -rp | wc -l)" -ge "$parallel" ]; do wait -n; done
    (
        trap stop TERM
        row "$@"
    ) &
}

stop() {
    kill $(jobs -rp) 2> /dev/null
    wait
    exit 143
}

# bench ROW NAME SECONDS OPTIONS...: measure by `row` or `untimed`, with a JSON file.
bench() {
    local how=$1 name=$2 most=$3
    shift 3
    $how "$name" "$most" "$python" -m tools.benchmark "$@" --json "$out/$name.json"
}

summarise() {
    "$python" -m benchmarks.report "$out" > "$out/summary.md" || return 1
    local log reason failed=()
    for log in "$out"/*.err; do
        [ -e "$log" ] || continue
        reason=$(cat "${log%.err}.out" "$log" 2> /dev/null | grep -v '^\s*$' | tail -n 1)
        failed+=("$(basename "$log" .err): ${reason:-stopped}")
    done
    echo "wrote $out/summary.md after $SECONDS s"
    [ ${#failed[@]} -eq 0 ] && return 0
    printf 'failed: %s\n' "${failed[@]}" | tee -a "$out/summary.md" >&2
    return 1
}
trap stop INT TERM
trap 'summarise || exit 1' EXIT

half=(--device cuda --precision bf16)
fast=("${half[@]}" --channels-last)

# Drawn first, because both demos need it.
row toy-data 120 "$python" -m tools.make_toy_data --sets gta cityscapes --nproc 8

# Untimed rows. The longest come first: compiling, which also fills the cache for --compare.
export TORCHINDUCTOR_COMPILE_THREADS=4
for exp in 4 1; do
    untimed compile-$exp 270 bash -c '"$@" > /dev/null && echo "kept in the cache"' compile \
        "$python" -m tools.benchmark --exp $exp "${fast[@]}" --compile --iters 1
done
# The goal is that their final scores differ by at most 1.5 mIoU.
for precision in fp32 bf16; do
    [ -e "$out/demo-$precision.txt" ] || rm -rf "$out/demo-$precision"
    options=(--exp 0 --work-dir "$out/demo-$precision")
    [ $precision = fp32 ] || options+=(--amp $precision)
    untimed demo-$precision 270 bash -o pipefail -c '"$@" | tail -n 32' demo \
        "$python" run_experiments.py "${options[@]}"
done
untimed tests 270 "$python" -m pytest -m gpu -p no:cacheprovider -n 0
for exp in 1 2 3 4 5 6 7 8; do
    bench untimed memory-$exp 120 --exp $exp "${fast[@]}" --iters 3
done
wait
unset TORCHINDUCTOR_COMPILE_THREADS

# Rows of the goals, then rows that explain them.
for exp in 4 1; do
    bench row compare-$exp 330 --exp $exp --device cuda --compare --iters 20
done
bench row inference-4 120 inference --exp 4 --device cuda --compare
bench row data 120 data --exp 4 --workers 4
bench row inference-1 120 inference --exp 1 --device cuda --compare
for exp in 4 1; do
    bench row bf16-$exp 120 --exp $exp "${fast[@]}" --iters 20
done
for precision in tf32 fp32 fp16; do
    bench row $precision-4 120 --exp 4 --device cuda --precision $precision --channels-last --iters 20
done
bench row contiguous-4 120 --exp 4 "${half[@]}" --no-channels-last --iters 20
bench row compile-contiguous-4 330 --exp 4 "${half[@]}" --compile --no-channels-last --iters 20
