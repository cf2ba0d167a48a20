/**
 * What goes wrong by somebody's doing, said in one line: action, object, cause. bin/lookout prints the message
 * and exits with the code; any other error is a bug in lookout and shows its stack.
 */

/** The command line or the environment asks for something that cannot be: exit 2. */
export class Misuse extends Error {
  readonly exitCode: number = 2
}

/** The command was right, the system said no: exit 1. */
export class Failure extends Error {
  readonly exitCode: number = 1
}

/** `EADDRINUSE` of a system call's error, else its message. */
export function causeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? message
}
