pid$nope:::entry
{
}
