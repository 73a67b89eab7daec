import { repositoryOf } from './repositories.ts';
import { type Call, created, found, ok, Refusal, type Route, textOf } from './router.ts';
import { type Deployment, type DeploymentStatus, type State, takeId, timeNow } from './state.ts';

const STATES = ['error', 'failure', 'inactive', 'in_progress', 'queued', 'pending', 'success'];

/** Deployments and their statuses, the newest first. */
export function deploymentRoutes(state: State): Route[] {
  const all = '/repos/:owner/:repo/deployments';
  const one = `${all}/:deployment`;
  return [
    ['POST', all, ({ path, body }) => created(open(state, path, body))],
    ['GET', all, ({ path, query }) => ok(list(state, path, query))],
    ['GET', one, ({ path }) => ok(describe(deploymentOf(state, path)))],
    ['POST', `${one}/statuses`, ({ path, body }) => created(judge(state, path, body))],
    ['GET', `${one}/statuses`, ({ path }) => ok(deploymentOf(state, path).statuses)],
  ];
}

function open(state: State, path: Call['path'], body: Call['body']): unknown {
  const ref = textOf(body, 'ref');
  const deployment: Deployment = {
    id: takeId(state),
    ref,
    sha: String(body['sha'] ?? ref),
    task: String(body['task'] ?? 'deploy'),
    environment: String(body['environment'] ?? 'production'),
    description: typeof body['description'] === 'string' ? body['description'] : null,
    payload: body['payload'] ?? {},
    created_at: timeNow(),
    statuses: [],
  };
  repositoryOf(state, path).deployments.unshift(deployment);
  return describe(deployment);
}

function list(state: State, path: Call['path'], query: URLSearchParams): unknown[] {
  const { deployments } = repositoryOf(state, path);
  const filters = (['environment', 'ref', 'sha', 'task'] as const).filter((name) => query.has(name));
  return deployments.filter((one) => filters.every((name) => one[name] === query.get(name))).map(describe);
}

/** Adds a status. A success makes the earlier ones of its environment inactive, as GitHub does. */
function judge(state: State, path: Call['path'], body: Call['body']): DeploymentStatus {
  const deployment = deploymentOf(state, path);
  const judgement = textOf(body, 'state');
  if (!STATES.includes(judgement)) throw new Refusal(422, `"${judgement}" is no state of a deployment`);
  const status = makeStatus(state, deployment, judgement, body);
  deployment.statuses.unshift(status);
  if (judgement === 'success' && body['auto_inactive'] !== false) {
    retireOthers(state, repositoryOf(state, path).deployments, deployment);
  }
  return status;
}

function retireOthers(state: State, deployments: readonly Deployment[], live: Deployment): void {
  for (const other of deployments) {
    const wasLive =
      other !== live && other.environment === live.environment && other.statuses[0]?.state === 'success';
    if (wasLive) other.statuses.unshift(makeStatus(state, other, 'inactive', {}));
  }
}

function makeStatus(
  state: State,
  deployment: Deployment,
  judgement: string,
  body: Call['body'],
): DeploymentStatus {
  return {
    id: takeId(state),
    state: judgement,
    environment: String(body['environment'] ?? deployment.environment),
    log_url: String(body['log_url'] ?? ''),
    environment_url: String(body['environment_url'] ?? ''),
    description: String(body['description'] ?? ''),
    created_at: timeNow(),
  };
}

function deploymentOf(state: State, path: Call['path']): Deployment {
  const id = Number(path['deployment']);
  return found(repositoryOf(state, path).deployments.find((deployment) => deployment.id === id));
}

function describe({ statuses: _, ...deployment }: Deployment): unknown {
  return deployment;
}
