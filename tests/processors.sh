#!/bin/bash
# The test suite on other processors, imitated, and the statistical tests with other seeds.
#
#     tests/processors.sh [--seeds N] [pytest arguments]
#
# 1. The suite with the kernels of ATen for {default, avx2, avx512} x {1, 2} threads, oneDNN and MKL
#    set to match, one of them under four busy processes. What the processor lacks is skipped.
# 2. Tests marked `statistical` with 20 other seeds (COLLIDERKIT_TEST_SEED, N to change their
#    number; 0 for none).
#
# Arguments after these go to pytest: `tests/processors.sh tests/training -x`. PYTHON chooses the
# interpreter. Takes hours for the whole suite, and is no part of .ci/run. Ends with a line for each
# run; the exit status is 1 if one of them failed.
set -u
cd "$(dirname "$0")/.." || exit 2

seeds=20
if [ "${1:-}" = --seeds ]; then
    seeds=${2:?give a number of seeds}
    shift 2
fi
python=${PYTHON:-python}
logs=$(mktemp -d "${TMPDIR:-/tmp}/processors-XXXXXX")
summary=()
failed=0
busy=()

has() { grep -qw "$1" /proc/cpuinfo 2>/dev/null; }

idle() {
    # Only those that were started here.
    if [ ${#busy[@]} -gt 0 ]; then
        kill "${busy[@]}" 2>/dev/null
        wait "${busy[@]}" 2>/dev/null
    fi
    busy=()
}
trap idle EXIT
trap 'exit 130' INT TERM

run() { # name, pytest arguments; the environment is the caller's
    local name=$1 start=$SECONDS status
    shift
    echo "== $name"
    "$python" -m pytest "$@" >"$logs/$name.log" 2>&1
    status=$?
    # 5: nothing was selected.
    if [ $status -eq 0 ] || [ $status -eq 5 ]; then
        summary+=("passed  $name  $((SECONDS - start)) s  $(tail -n 1 "$logs/$name.log")")
    else
        failed=1
        grep -E '^(FAILED|ERROR)' "$logs/$name.log"
        summary+=("FAILED  $name  see $logs/$name.log")
    fi
}

for level in default avx2 avx512; do
    case $level in
        default) needs=() onednn=SSE41 mkl=SSE4_2 ;;
        avx2) needs=(avx2 fma) onednn=AVX2 mkl=AVX2 ;;
        avx512) needs=(avx512f avx512bw avx512dq avx512vl) onednn=AVX512_CORE mkl=AVX512 ;;
    esac
    lacks=
    for flag in "${needs[@]}"; do has "$flag" || lacks="$lacks $flag"; done
    for threads in 1 2; do
        name=$level-$threads-threads
        load=0
        if [ "$name" = avx2-2-threads ]; then load=4 name=$name-busy; fi
        if [ -n "$lacks" ]; then
            summary+=("skipped $name: this processor has no$lacks")
            continue
        fi
        for _ in $(seq "$load"); do
            (while :; do :; done) &
            busy+=($!)
        done
        # Passive: where others are busy, threads that spin at each barrier wait for seconds.
        OMP_WAIT_POLICY=passive \
            ATEN_CPU_CAPABILITY=$level ONEDNN_MAX_CPU_ISA=$onednn MKL_ENABLE_INSTRUCTIONS=$mkl \
            OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads run "$name" "$@"
        idle
    done
done

for k in $(seq "$seeds"); do
    # Far apart: a test takes several seeds, which follow on another.
    COLLIDERKIT_TEST_SEED=$((1000 * k)) run "seed-$((1000 * k))" -m statistical "$@"
done

printf '%s\n' '' "${summary[@]}"
exit $failed
