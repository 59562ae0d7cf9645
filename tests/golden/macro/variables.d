// args: 42 hello -7 "q" 0x10
BEGIN { }
BEGIN
{
	trace($1); $2 = 5; trace($$1); trace($$2); trace($3); trace($$4); trace($5); trace($pid + $target); trace($$pid);
}
