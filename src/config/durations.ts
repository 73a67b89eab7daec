const millisecondsPer = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** How a duration is written in understudy.yml: a whole number and a unit, such as `5s`, `10m`, `24h` or `7d`. */
export const durationPattern = /^(0|[1-9][0-9]{0,4})([smhd])$/;

/** The duration in milliseconds, or undefined when it is not one. */
export function toMilliseconds(duration: string): number | undefined {
  const [, count, unit] = durationPattern.exec(duration) ?? [];
  return unit === undefined
    ? undefined
    : Number(count) * millisecondsPer[unit as keyof typeof millisecondsPer];
}
