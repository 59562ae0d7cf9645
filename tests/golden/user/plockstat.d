/* Locks: what functions were called with is noted at their entry, in clauses of our own. */
plockstat$target:::mutex-acquire { @[arg0, args[1]] = count(); }
plockstat$target::pthread_mutex_unlock:mutex-release /arg1 == 0/ { @r = count(); }
