//! The template's job, run by a real GitLab Runner.

use crate::gitlab::runner::{Configured, Runner};
use crate::gitlab::template::Template;
use crate::image::CURL;

pub fn trial() {
    let runner = Runner::start();
    let template = Template::read("trial.gitlab-ci.yml", "parallax");
    for id in 1..3 {
        let begun = std::time::Instant::now();
        let ended = runner.run(
            &Configured { volumes: vec!["/tmp:/run/parallax:ro".into()], ..Configured::default() },
            template.job(id, CURL),
        );
        println!("{:?} {ended:#?}", begun.elapsed());
    }
    println!("{}", runner.log());
}
