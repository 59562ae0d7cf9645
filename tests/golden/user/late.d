/* other files may be loaded later: tables are in globals */
pid$target:lib*:*:entry { @[probefunc] = count(); trace(strjoin(probefunc, "!")); }
