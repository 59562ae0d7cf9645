BEGIN
{
	trace(nope); trace(nope); x = strlenn(1); y = x + 1; trace(self->z);
	printf("%d", "a");
}
