import type { Scene } from './scene.ts';

/** When each scene may play: each waits only for those before it in one order, so that never two wait for each other. */
export class Turns {
  readonly #order: readonly Scene[];
  readonly #ends: ReadonlyMap<Scene, PromiseWithResolvers<void>>;

  constructor(scenes: readonly Scene[]) {
    const { later = [], now = [] } = Object.groupBy(scenes, (scene) => (scene.later ? 'later' : 'now'));
    this.#order = [...now, ...later];
    this.#ends = new Map(scenes.map((scene) => [scene, Promise.withResolvers<void>()]));
  }

  /** Resolves when nothing plays any more on what the scene needs; of a `later` one, when no users will be measured. */
  toBegin(scene: Scene): Promise<void> {
    const shares = ({ roles }: Scene): boolean => roles.some((role) => scene.roles.includes(role));
    return this.#over(scene, (other) => shares(other) || Boolean(scene.later && other.measured));
  }

  /** Resolves when no other's users are measured, where its own are. */
  toMeasure(scene: Scene): Promise<void> {
    return this.#over(scene, (other) => Boolean(scene.measured && other.measured));
  }

  /** A scene is over, however it ended. */
  ended(scene: Scene): void {
    this.#ends.get(scene)?.resolve();
  }

  async #over(scene: Scene, matters: (other: Scene) => boolean): Promise<void> {
    const before = this.#order.slice(0, this.#order.indexOf(scene)).filter(matters);
    await Promise.all(before.flatMap((other) => this.#ends.get(other)?.promise ?? []));
  }
}
