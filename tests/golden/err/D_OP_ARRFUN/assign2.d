struct s { int a[3]; };
struct s v;
int b[3];
BEGIN
{
	v.a = b;
}
