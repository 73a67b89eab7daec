import * as z from 'zod/mini';

/** What a check was answered, as the host tells it. */
export const checkAnswer = z.object({
  /** `rehearsal`, `probe`, `public`, or `old` for the release that was live before. */
  where: z.string(),
  path: z.string(),
  ok: z.boolean(),
  status: z.optional(z.nullable(z.number())),
  type: z.optional(z.nullable(z.string())),
  ms: z.optional(z.number()),
  /** How it began; only where excerpts are allowed. */
  body: z.optional(z.string()),
  problem: z.optional(z.string()),
});

export type CheckAnswer = z.infer<typeof checkAnswer>;
