# 7 "cpp.d" 1 3
BEGIN
{
	trace(1);
# 50
	trace(nope);
}
