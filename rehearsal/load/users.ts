import { randomUUID } from 'node:crypto';

/** One request that a user of an app sends, and what the app promises to answer. */
export interface Ask {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The status that is promised; any other answer is a loss. */
  readonly status: number;
  /** The media type that is promised; JSON when absent, any when it is `*`. */
  readonly type?: string;
  /** For a POST: what the app's database must hold once it acknowledged the request. */
  readonly mark?: string;
}

/** The users of one app: what they do once before the load, and then, one request after the other. */
export interface Users {
  readonly first: Ask;
  readonly next: (number: number) => Ask;
}

/** Marks of this load, told from those of any other. */
function newMarks(): (number: number) => string {
  const load = randomUUID().slice(0, 8);
  return (number) => `load-${load}-${number}`;
}

/** Readers and writers of comments on one page; every third request is a comment. */
function issoUsers(): Users {
  const marks = newMarks();
  const uri = encodeURIComponent('/rehearsal/');
  const comment = (mark: string): Ask => ({
    method: 'POST',
    path: `/new?uri=${uri}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text: mark, author: 'Ada', title: 'The rehearsal' }),
    status: 201,
    mark,
  });
  // The page grows under the load; a reader sees its newest comments alone, or the readers would be the load.
  const read: Ask = { method: 'GET', path: `/?uri=${uri}&limit=5&nested_limit=5`, status: 200 };
  const info: Ask = { method: 'GET', path: '/info', status: 200 };
  return {
    // Isso answers 500 to some of the first comments of a new page when they race (facts-switch.md).
    first: comment(marks(0)),
    next: (number) => (number % 3 === 0 ? comment(marks(number)) : number % 3 === 1 ? read : info),
  };
}

const BOUNDARY = 'understudy-load';

function uploadOf(name: string): string {
  return [
    `--${BOUNDARY}`,
    `content-disposition: form-data; name="file"; filename="${name}"`,
    'content-type: text/csv',
    '',
    'ward,cases\nAlbarka,12\nGarki,7\n',
    `--${BOUNDARY}--`,
    '',
  ].join('\r\n');
}

/** People who upload tables; every third request is an upload. */
function chatmrptUsers(): Users {
  const marks = newMarks();
  const health: Ask = { method: 'GET', path: '/health', status: 200 };
  const upload = (mark: string): Ask => ({
    method: 'POST',
    path: '/upload',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: uploadOf(mark),
    status: 200,
    mark,
  });
  return { first: health, next: (number) => (number % 3 === 0 ? upload(marks(number)) : health) };
}

/** The same people, when all that they do is to write. */
function issoWriters(): Users {
  const { first, next } = issoUsers();
  return { first, next: (number) => next(number * 3) };
}

function chatmrptWriters(): Users {
  const { first, next } = chatmrptUsers();
  return { first, next: (number) => next(number * 3) };
}

/** What an app promises to answer: a check of its understudy.yml. */
export interface Promised {
  readonly path: string;
  readonly status: number;
  readonly type?: string;
}

/** Users of an app of which nothing but its checks is known: they ask what those ask. */
export function usersByChecks(checks: readonly Promised[]): Users {
  const asks = checks.map(({ path, status, type = '*' }): Ask => ({ method: 'GET', path, status, type }));
  const [first] = asks;
  if (first === undefined) throw new Error('without a check there is nothing to ask');
  return { first, next: (number) => asks[number % asks.length] ?? first };
}

/** People at a shop that takes notes (tests/host/app.ts); every second request is a note, unless they only look. */
function shopUsers(): Users {
  const marks = newMarks();
  const health: Ask = { method: 'GET', path: '/health', status: 200 };
  const note = (mark: string): Ask => ({ method: 'POST', path: `/add?${mark}`, status: 200, mark });
  return { first: health, next: (number) => (number % 2 === 0 ? note(marks(number)) : health) };
}

function shopReaders(): Users {
  const { first } = shopUsers();
  return { first, next: () => first };
}

/** The users of each app that the generator knows. */
export const usersOf: Readonly<Record<string, () => Users>> = {
  isso: issoUsers,
  chatmrpt: chatmrptUsers,
  'isso-writers': issoWriters,
  'chatmrpt-writers': chatmrptWriters,
  shop: shopUsers,
  'shop-readers': shopReaders,
};
