/** Who an access key stands for. */
export interface Principal {
  /** `role/<name>` of the role whose credentials these are, else `operator`. */
  readonly name: string;
  /** The instance that the credentials were minted for. */
  readonly instanceId?: string;
}

const operator: Principal = { name: 'operator' };

/** Remembers which credentials were handed out to whom. */
export class Principals {
  readonly #byAccessKey = new Map<string, Principal>();

  of(accessKey: string | undefined): Principal {
    return (accessKey !== undefined && this.#byAccessKey.get(accessKey)) || operator;
  }

  remember(accessKey: string, principal: Principal): void {
    this.#byAccessKey.set(accessKey, principal);
  }
}

/** The name of a role in its ARN: the last part, for a role may have a path. */
export function roleName(arn: string): string {
  return arn.split('/').pop() ?? arn;
}
