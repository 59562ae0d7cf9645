struct big { char text[9000]; };
BEGIN
{
	print((struct big *)arg0);
}
