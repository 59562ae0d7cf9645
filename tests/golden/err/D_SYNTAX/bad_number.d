BEGIN
{
	x = 12monkeys;
}
