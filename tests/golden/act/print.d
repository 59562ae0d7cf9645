struct pair { int a; char b[12]; };
BEGIN
{
	print((struct pair *)arg0); print(pid); print("text");
}
