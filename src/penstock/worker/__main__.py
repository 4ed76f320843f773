"""`python -m penstock.worker`: a worker of all lanes, configured by the environment."""

from penstock.settings import Settings
from penstock.worker.main import run_worker

if __name__ == "__main__":
    run_worker(Settings.from_environment())
