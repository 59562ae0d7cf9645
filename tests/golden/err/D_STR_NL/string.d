BEGIN
{
	trace("abc
	def");
}
