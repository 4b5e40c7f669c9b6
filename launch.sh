#!/usr/bin/env bash
# One entry. No argument: install if needed, then the quickstart. `./launch.sh --help` for the rest.
# SYNJAX_JAX=cuda13 (cuda12, tpu, cpu) installs JAX for that accelerator; it is remembered.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

python=${PYTHON:-python3}
stamp=.venv/installed
# The stamp is what cksum prints, two numbers, and the extra of JAX where there is one.
extra=${SYNJAX_JAX:-$([ ! -f "$stamp" ] || cut -d ' ' -f 3 "$stamp")}
case $extra in
    "" | cpu | cuda12 | cuda13 | tpu) ;;
    *) echo "synjax: SYNJAX_JAX is '$extra', must be cpu, cuda12, cuda13 or tpu" >&2; exit 2 ;;
esac
wanted="$(cat requirements.txt constraints.txt requirements-dev.txt | cksum)${extra:+ $extra}"

if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "synjax: needs Python 3.11 or newer, found $("$python" -V); set PYTHON" >&2; exit 2; }
    echo "Installing into .venv (once) ..."
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        "jax${extra:+[$extra]}" -r requirements.txt -r requirements-dev.txt -c constraints.txt
    echo "$wanted" >"$stamp"
fi

export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$PWD/.venv/jax_cache}
# Small programs too: a start compiles some two hundred of them, and JAX keeps none by default.
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=${JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS:-0}
# A step on CPU asks for the same buffers again: glibc would give them back and fault in every page
# of them anew, a sixth of the processor's time. What is set already stays.
export MALLOC_MMAP_MAX_=${MALLOC_MMAP_MAX_:-0}
export MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-1099511627776}
# In pages of 2 MiB where Linux gives them to who asks: of a large codec too much is faulted in still.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}

if [ "${1:-}" = test ]; then
    shift
    # The whole suite on all cores, file by file; what is named runs in one process.
    [ $# -gt 0 ] || set -- -n logical --maxprocesses=8 --dist=loadfile --no-loadscope-reorder
    exec .venv/bin/python -m pytest "$@"
fi
exec .venv/bin/python -m synjax.main "$@"
