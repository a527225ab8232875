"""The words and phrases that the `profanity` check counts: English swearing, written for it.

A word stands here if it swears in nearly every text that has it. Left out on purpose: groups of
people (`gay`, `queer`), religion (`God`), anatomy and medicine (`sex`, `breast`), violence
(`kill`), and words with a common harmless meaning (`cock`, `tit`, `prick`, `bloody`, `screw`,
`hoe`). Insults that exist only to demean a group are counted.
"""

_WORDS = """
    fuck fucks fucked fucker fuckers fucking fuckin fuckery fuckable fuckwit fuckwits fuckface
    fuckhead fuckheads fuckboy fuckboys fucktard fuckup fuckups fucky fuk fuks fuking fck fcking
    fcuk phuck phuk unfuck mindfuck clusterfuck clusterfucks motherfuck motherfucker motherfuckers
    motherfucking motherfuckin mothafucka mothafuckas muthafucka shit shits shite shitty shittier
    shittiest shitting shitted shat shithead shitheads shithole shitholes shitshow shitstorm
    shitload shitloads shitface shitfaced shitbag shitposting shitpost bullshit bullshits
    bullshitting bullshitter horseshit batshit apeshit dipshit dipshits chickenshit ass asses
    asshole assholes asshat asshats asswipe asswipes assclown badass badasses dumbass dumbasses
    jackass jackasses smartass smartasses fatass hardass kickass lardass assface arse arses arsehole
    arseholes arsed assed bitch bitches bitched bitching bitchy biatch sonofabitch bastard bastards
    cunt cunts cunty twat twats pussy pussies dick dicks dickhead dickheads dickish dickwad
    cocksucker cocksuckers cocksucking damn damned damnit dammit goddamn goddamned goddammit
    goddamnit crap craps crappy crappier crappiest crapped piss pisses pissed pissing pisser pissy
    pissoff whore whores whoring whorish slut sluts slutty skank skanks skanky bollocks bollock
    bugger buggers buggered buggering wank wanks wanker wankers wanking bellend bellends douchebag
    douchebags douchey jizz cumshot cumshots blowjob blowjobs handjob handjobs titties nigger
    niggers nigga niggas faggot faggots kike kikes wetback wetbacks
"""
WORDS = frozenset(_WORDS.split())

NAMES = frozenset({"dick", "dicks"})
"""Counted only where they do not look like a name, with a capital and small letters."""

PHRASES = frozenset(
    {
        "what the hell", "who the hell", "where the hell", "when the hell", "why the hell",
        "how the hell", "the hell out", "the hell up", "go to hell", "to hell with", "hell yeah",
        "hell yes", "hell no", "bloody hell", "fucking hell", "as hell", "like hell", "hell of a",
        "son of a bitch", "screw you", "jerk off", "jerking off", "jacking off",
    }
)  # fmt: skip
"""Each is counted once."""

HARMLESS = frozenset({"pussy willow", "pussy willows", "pussy cat", "pussy cats", "pussy riot"})
"""Not counted, although a word of theirs is."""
