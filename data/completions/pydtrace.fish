# SPDX-License-Identifier: Apache-2.0
# fish completion for pydtrace(1)

function __pydtrace_probes
    pydtrace -l 2>/dev/null | awk -v field=$argv[1] 'NR > 1 {
        module = NF > 3 ? $3 : ""; function_ = NF > 4 ? $4 : ""
        if (field == "provider") print $2
        else if (field == "module") print module
        else if (field == "function") print function_
        else print $2 ":" module ":" function_ ":" $NF
    }' | sort -u
end

complete -c pydtrace -f
complete -c pydtrace -s b -x -d 'size of the buffers'
complete -c pydtrace -s c -x -a '(__fish_complete_command)' -d 'run a command and trace to its end'
complete -c pydtrace -s C -d 'run the C preprocessor'
complete -c pydtrace -s D -x -d 'define a macro'
complete -c pydtrace -s e -d 'compile, and be done'
complete -c pydtrace -s f -x -a '(__pydtrace_probes function)' -d 'trace a function'
complete -c pydtrace -s F -d 'indent what functions call'
complete -c pydtrace -s G -d 'make an object file for static probes'
complete -c pydtrace -s h -d 'make a header for static probes'
complete -c pydtrace -s H -d 'show the headers that are included'
complete -c pydtrace -s i -x -d 'trace a probe by its number'
complete -c pydtrace -s I -r -F -d 'search a folder for headers'
complete -c pydtrace -s l -d 'list probes'
complete -c pydtrace -s L -r -F -d 'a folder with D libraries'
complete -c pydtrace -s m -x -a '(__pydtrace_probes module)' -d 'trace a module'
complete -c pydtrace -s n -x -a '(__pydtrace_probes all)' -d 'trace by name'
complete -c pydtrace -s o -r -F -d 'append the output to a file'
complete -c pydtrace -s p -x -a '(__fish_complete_pids)' -d 'trace a process to its end'
complete -c pydtrace -s P -x -a '(__pydtrace_probes provider)' -d 'trace a provider'
complete -c pydtrace -s q -d 'print only what the program prints'
complete -c pydtrace -s s -r -F -d 'a file with a D program'
complete -c pydtrace -s S -d 'show the code made for the kernel'
complete -c pydtrace -s U -x -d 'undefine a macro'
complete -c pydtrace -s v -d 'say more'
complete -c pydtrace -s V -d 'the version of D'
complete -c pydtrace -s w -d 'permit destructive actions'
complete -c pydtrace -s x -x -a '@OPTIONS@' -d 'set an option'
complete -c pydtrace -s X -x -a 'a c s t' -d 'ISO C mode'
complete -c pydtrace -s Z -d 'a description may match no probe'
complete -c pydtrace -l features -d 'what this kernel can do'
complete -c pydtrace -l flamegraph -r -F -d 'stacks as a picture'
complete -c pydtrace -l folded -d 'stacks, one per line'
complete -c pydtrace -l format -x -a 'text json' -d 'form of the output'
complete -c pydtrace -l heatmap -d 'distributions over time'
complete -c pydtrace -l help -d 'the flags'
complete -c pydtrace -l live -d 'tables that are drawn anew'
complete -c pydtrace -l timeout -x -d 'end after a time'
complete -c pydtrace -l version -d 'the version'
