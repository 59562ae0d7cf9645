/* Names of the D libraries: constants, a translated struct, a variable that is an expression. */
inline int mine = SIGKILL + EPERM;

BEGIN
{
	trace(mine);
	trace(R_RDI);
	trace(uregs[R_RDI]);
	trace(curcpu->cpu_id);
	trace((xlate <cpuinfo_t *>(3))->cpu_chip);
	trace(lgrp);
	this->c = (cpuinfo_t *)arg0;
	trace(this->c->cpu_lgrp);
	trace(sizeof(psinfo_t));
	self->p = (psinfo_t *)0;
}
