import type { Server } from 'node:http';
import { deploymentRoutes } from './deployments.ts';
import { issueRoutes } from './issues.ts';
import { protectionRoutes } from './protections.ts';
import { releaseRoutes } from './releases.ts';
import { repositoryRoutes } from './repositories.ts';
import { ok, type Route, serve } from './router.ts';
import { runRoutes } from './runs.ts';
import { emptyState, type State } from './state.ts';

/** A stand-in for GitHub's REST API: what our actions and workflows ask, with a memory. */
export function createGithub(state: State = emptyState()): Server {
  const show: Route = ['GET', '/_cloud/state', () => ok(picture(state))];
  return serve([
    show,
    ...repositoryRoutes(state),
    ...runRoutes(state),
    ...deploymentRoutes(state),
    ...issueRoutes(state),
    ...releaseRoutes(state),
    ...protectionRoutes(state),
  ]);
}

/** All that is held, by repository, for tests to read. */
function picture(state: State): unknown {
  const repositories = [...state.repositories].map(
    ([name, { runs, folder: _, environments, ...repository }]) => {
      const attempts = [...runs.values()].flatMap((run) => [...run.values()]);
      return [name, { ...repository, runs: attempts, environments: [...environments.values()] }];
    },
  );
  return { repositories: Object.fromEntries(repositories) };
}
