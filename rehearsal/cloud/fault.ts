import { join } from 'node:path';
import type { Fault, Wish } from '../faults/faults.ts';
import { ask } from '../ground/socket.ts';
import type { Cloud } from './handle.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** A program of the cloud that keeps a book of faults. */
type Ask = (method: string, wish?: Wish) => Promise<Answer>;

function booksOf(cloud: Cloud): Readonly<Record<'github' | 'oidc' | 'aws', Ask>> {
  const overHttp =
    (url: string): Ask =>
    async (method, wish) => {
      const body = wish === undefined ? {} : { body: JSON.stringify(wish) };
      const answer = await fetch(`${url}/_cloud/fault`, { method, ...body });
      return { status: answer.status, body: await answer.json() };
    };
  return {
    github: overHttp(cloud.githubUrl),
    oidc: overHttp(cloud.oidcUrl),
    aws: (method, wish) => ask(join(cloud.run, 'gateway.sock'), method, '/_cloud/fault', wish),
  };
}

/** Makes calls of a cloud go wrong. Throws the program's own sentence when the wish is not one. */
export async function addFault(cloud: Cloud, wish: Wish): Promise<Fault> {
  const books = booksOf(cloud);
  const [program] = wish.action.split(':');
  const book = program === 'github' || program === 'oidc' ? books[program] : books.aws;
  const { status, body } = await book('POST', wish);
  if (status === 201) return body as Fault;
  throw new Error((body as { message: string }).message);
}

/** The faults on all the books of a cloud. */
export async function listFaults(cloud: Cloud): Promise<Fault[]> {
  const answers = await Promise.all(Object.values(booksOf(cloud)).map((book) => book('GET')));
  return answers.flatMap(({ body }) => body as Fault[]);
}

export async function clearFaults(cloud: Cloud): Promise<void> {
  await Promise.all(Object.values(booksOf(cloud)).map((book) => book('DELETE')));
}
