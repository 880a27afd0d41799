#!/usr/bin/env bash
# All rows of RESULTS.md that need a GPU, in some ten minutes: bash benchmarks/gpu.sh FOLDER
#
# Leaves in FOLDER a .json and the printed text of each row, and summary.md with all of them. A row
# that fails is told at the end. PYTHON=/path/to/python chooses an interpreter; no new row is begun
# after SECONDS_MAX (570) seconds.
set -u
if [ $# -ne 1 ]; then
    echo "usage: bash benchmarks/gpu.sh FOLDER" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -x "$root/.venv/bin/python" ]; then default=.venv/bin/python; else default=python3; fi
python=${PYTHON:-$default}
if ! (cd "$root" && "$python" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"); then
    echo "error: $python finds no CUDA device (or no torch): these rows need one" >&2
    exit 1
fi
mkdir -p "$1" || exit 1
out=$(cd "$1" && pwd)
cd "$root" || exit 1
limit=${SECONDS_MAX:-570}
failed=()

# row NAME COMMAND...: run a command, keep what it prints, and go on if it fails.
row() {
    local name=$1 left=$((limit - SECONDS))
    shift
    if [ $left -le 0 ]; then
        failed+=("$name: no time was left")
        return
    fi
    echo "== $name (after $SECONDS s): $*"
    if timeout -k 10 "$((left + 60))" "$@" > "$out/$name.txt" 2> "$out/$name.err"; then
        cat "$out/$name.txt"
        rm "$out/$name.err"
    else
        local status=$? log="$out/$name.err"
        [ -s "$log" ] || log="$out/$name.txt"
        if [ $status -eq 124 ] || [ $status -eq 137 ]; then
            failed+=("$name: out of time")
        else
            failed+=("$name: $(grep -v '^\s*$' "$log" | tail -n 1)")
        fi
        echo "failed, see $out/$name.err" >&2
    fi
}

# bench NAME OPTIONS...: measure, with a JSON file.
bench() {
    local name=$1
    shift
    row "$name" "$python" -m tools.benchmark "$@" --json "$out/$name.json"
}

# Compiled networks are kept here, so a second time takes less.
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$out/inductor}

# What takes seconds comes before what compiles for minutes.
for exp in 1 2 3 4 5 6 7 8; do
    bench "bf16-$exp" --exp $exp --device cuda --precision bf16 --channels-last --iters 20
done
bench data data --exp 4 --workers 4
for exp in 1 4; do
    bench "inference-$exp" inference --exp $exp --device cuda --workers 4 --compare
done
bench compare-4 --exp 4 --device cuda --compare
bench compare-1 --exp 1 --device cuda --compare
# Their last tables are to end within 1.5 mIoU of each other.
for precision in fp32 bf16; do
    options=(--exp 0 --work-dir "$out/demo-$precision")
    [ $precision = fp32 ] || options+=(--amp $precision)
    row demo-$precision bash -o pipefail -c '"$@" | tail -n 32' demo "$python" run_experiments.py "${options[@]}"
done
row tests "$python" -m pytest -m gpu -p no:cacheprovider -n 0
for precision in fp32 tf32 fp16; do
    bench "$precision-4" --exp 4 --device cuda --precision $precision --channels-last --iters 20
done
bench bf16-contiguous-4 --exp 4 --device cuda --precision bf16 --no-channels-last --iters 20
bench compile-contiguous-4 --exp 4 --device cuda --precision bf16 --compile --no-channels-last \
    --iters 20

"$python" -m mmseg.benchmark.summary "$out" > "$out/summary.md" || failed+=("summary")
echo "wrote $out/summary.md after $SECONDS s"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}" | tee -a "$out/summary.md" >&2
    exit 1
fi
