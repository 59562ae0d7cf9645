BEGIN
/ pid == 1 /
