// args: read tick-5s
syscall::$1:entry { }
$2 { }
syscall::$$1:return { }
