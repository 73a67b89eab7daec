/** An error that a service answers to its caller. */
export class ServiceError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** What the local cloud does not do is refused, never pretended. 501, for SDKs do not repeat it. */
export function notImplemented(what: string): ServiceError {
  return new ServiceError('NotImplemented', `The local cloud does not implement ${what}.`, 501);
}
