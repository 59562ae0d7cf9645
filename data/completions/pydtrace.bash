# SPDX-License-Identifier: Apache-2.0
# bash completion for pydtrace(1)

_pydtrace_probes() { # LIST-FLAG FIELD: what probes there are, up to the word under the cursor
	pydtrace -l 2>/dev/null | awk -v field="$1" '
		NR > 1 {
			provider = $2; name = $NF
			if (NF == 3) { module = ""; function_ = "" }
			else if (NF == 4) { module = $3; function_ = "" }
			else { module = $3; function_ = $4 }
			if (field == "provider") print provider
			else if (field == "module") print module
			else if (field == "function") print function_
			else print provider ":" module ":" function_ ":" name
		}' | sort -u
}

_pydtrace() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local IFS=$'\n'
	COMPREPLY=()
	case $prev in
	-s | -o | --flamegraph)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return
		;;
	-I | -L)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		compopt -o filenames 2>/dev/null
		return
		;;
	-c)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
		;;
	-p)
		mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(printf '%s\n' [0-9]*)" -- "$cur")
		return
		;;
	-x)
		mapfile -t COMPREPLY < <(compgen -W "$(printf '%s\n' @OPTIONS@)" -- "$cur")
		return
		;;
	-X)
		mapfile -t COMPREPLY < <(compgen -W $'a\nc\ns\nt' -- "$cur")
		return
		;;
	-P)
		mapfile -t COMPREPLY < <(compgen -W "$(_pydtrace_probes provider)" -- "$cur")
		return
		;;
	-m)
		mapfile -t COMPREPLY < <(compgen -W "$(_pydtrace_probes module)" -- "$cur")
		return
		;;
	-f)
		mapfile -t COMPREPLY < <(compgen -W "$(_pydtrace_probes function)" -- "$cur")
		return
		;;
	-n)
		mapfile -t COMPREPLY < <(compgen -W "$(_pydtrace_probes all)" -- "$cur")
		declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W $'text\njson' -- "$cur")
		return
		;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W "$(printf '%s\n' -b -c -C -D -e -f -F -G -h -H -i -I -l -L -m -n -o \
		-p -P -q -s -S -U -v -V -w -x -X -Z --features --flamegraph --folded --format --heatmap --help --live \
		--timeout --version)" -- "$cur") ;;
	esac
}

complete -F _pydtrace pydtrace
