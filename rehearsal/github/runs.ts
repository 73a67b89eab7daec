import { repositoryOf } from './repositories.ts';
import { type Call, found, ok, Refusal, type Route, textOf } from './router.ts';
import { type Attempt, type State, type Status, timeNow } from './state.ts';

const STATUSES: readonly Status[] = ['queued', 'in_progress', 'completed', 'waiting', 'requested', 'pending'];

/** Workflow runs and their attempts, told by the runner through `PUT /_cloud/runs`. */
export function runRoutes(state: State): Route[] {
  const runPath = '/repos/:owner/:repo/actions/runs/:run';
  return [
    ['PUT', '/_cloud/runs', ({ body }) => ok(seed(state, body))],
    ['GET', runPath, ({ path }) => ok(latest(attemptsOf(state, path)))],
    [
      'GET',
      `${runPath}/attempts/:attempt`,
      ({ path }) => ok(found(attemptsOf(state, path).get(Number(path['attempt'])))),
    ],
  ];
}

/** `{repository, id, run_attempt, status, conclusion, …}`: one attempt as it is now; other fields are kept as given. */
function seed(state: State, body: Call['body']): Attempt {
  const fullName = textOf(body, 'repository');
  const repository = found(state.repositories.get(fullName));
  const { id, run_attempt } = { id: Number(body['id']), run_attempt: Number(body['run_attempt'] ?? 1) };
  const status = STATUSES.find((name) => name === body['status']);
  if (!status || !Number.isSafeInteger(id)) throw new Refusal(422, 'a run needs an id and a known status');
  const attempts = repository.runs.get(id) ?? new Map<number, Attempt>();
  repository.runs.set(id, attempts);
  const { repository: _, ...more } = body;
  const attempt: Attempt = {
    ...more,
    id,
    run_attempt,
    status,
    conclusion: typeof body['conclusion'] === 'string' ? body['conclusion'] : null,
    created_at: attempts.get(run_attempt)?.created_at ?? timeNow(),
    updated_at: timeNow(),
    html_url: `https://github.com/${fullName}/actions/runs/${id}`,
    repository: { id: repository.id, full_name: fullName },
  };
  attempts.set(run_attempt, attempt);
  return attempt;
}

function attemptsOf(state: State, path: Call['path']): Map<number, Attempt> {
  return found(repositoryOf(state, path).runs.get(Number(path['run'])));
}

function latest(attempts: Map<number, Attempt>): Attempt {
  return found(attempts.get(Math.max(...attempts.keys())));
}
